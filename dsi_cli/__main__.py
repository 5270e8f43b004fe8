"""``python -m dsi_cli`` is the command ``dsi``."""

from dsi_cli.cli import main

if __name__ == "__main__":
    main()
