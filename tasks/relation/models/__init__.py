"""The models of the relation track, one file each with its layer, and one with its decode."""

from ...designs import Designs

DESIGNS = Designs(
    {
        "casrel": f"{__name__}.casrel_design:Casrel",
        "gplinker": f"{__name__}.gplinker_design:Gplinker",
        "generate": f"{__name__}.generate_design:Generate",
    }
)
