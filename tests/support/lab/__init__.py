"""JupyterLab as `make lab` starts it, and its pages in a browser."""
