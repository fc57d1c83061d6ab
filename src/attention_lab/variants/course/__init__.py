"""One module a variant, each with one ``VARIANT``: add a file here to add one."""
