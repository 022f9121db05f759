"""Texts of one meaning (SimBERT, kexue.fm article 7427): the model, its batches, the index of texts, and how well they do."""

from .batcher import PairBatch, PairBatcher, PairCounts, group_pairs
from .generation import Scored, generate_synonyms
from .index import RetrievalIndex
from .measures import Threshold, accuracy_at, best_threshold, first_right, recall_at, retrieval_accuracy, spearman
from .network import JointLoss, SimilarityNetwork
from .simbert import SimBERT

__all__ = [
    "JointLoss",
    "PairBatch",
    "PairBatcher",
    "PairCounts",
    "RetrievalIndex",
    "Scored",
    "SimBERT",
    "SimilarityNetwork",
    "Threshold",
    "accuracy_at",
    "best_threshold",
    "first_right",
    "generate_synonyms",
    "group_pairs",
    "recall_at",
    "retrieval_accuracy",
    "spearman",
]
