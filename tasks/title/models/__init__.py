"""The models of the title task: a layer, its decode, and both under one name."""

from ...designs import Designs

DESIGNS = Designs({"generate": f"{__name__}.generate_design:Generate"})
