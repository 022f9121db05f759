"""The models of the reading track, one file each with its layer, and one with its decode."""

from ...designs import Designs

DESIGNS = Designs({"span": f"{__name__}.span_design:Span", "generate": f"{__name__}.generate_design:Generate"})
