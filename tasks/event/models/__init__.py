"""The models of the event track, one file each with its layer, and one with its decode."""

from ...designs import Designs

DESIGNS = Designs(
    {
        "crf": f"{__name__}.crf_design:Crf",
        "gplinker": f"{__name__}.gplinker_design:Gplinker",
        "generate": f"{__name__}.generate_design:Generate",
    }
)
