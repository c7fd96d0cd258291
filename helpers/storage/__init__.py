"""The released records behind one contract (`base.py`); one engine per module."""
