"""The page in a real browser: at a phone's width and at a desk's, with two cameras and with
forty."""
