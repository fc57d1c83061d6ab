"""What several tests share: small classes, a limited user, JupyterLab, limits on time. It holds no tests."""
