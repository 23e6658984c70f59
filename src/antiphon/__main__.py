"""``python -m antiphon`` is the command ``antiphon``."""

from antiphon.apps.cli import main

if __name__ == "__main__":
    main()
