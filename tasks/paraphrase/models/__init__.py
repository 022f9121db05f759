"""The models of the paraphrase task, one file each with its layer, and one with its decode."""

from ...designs import Designs

DESIGNS = Designs({"simbert": f"{__name__}.simbert_design:Simbert"})
