"""What learning platforms hand out: downloads and sheets."""
