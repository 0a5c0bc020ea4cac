"""What this layer computes while an image is built."""

BBIMPORTS = ["services", "writers"]
