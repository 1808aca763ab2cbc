"""Load on MLflow and on this platform, side by side on one machine, and what of it was stored."""
