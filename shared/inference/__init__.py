"""A model's forward pass by whichever engine is fastest: eager Paddle, a recorded Paddle graph, or ONNX Runtime, behind one interface."""

from .eager import EagerEngine
from .network import Engine, Graph, Input, Network

__all__ = ["EagerEngine", "Engine", "Graph", "Input", "Network"]
