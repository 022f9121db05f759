"""``python -m pipelines``, and what ``paddle.distributed.launch`` starts in every process."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != here]  # started by its path, Python puts this folder first
    try:
        from pipelines.cli import main
    except ModuleNotFoundError:  # a checkout that is not installed
        sys.path.insert(0, str(here.parent))
        from pipelines.cli import main
    main()
