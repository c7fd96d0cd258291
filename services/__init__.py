"""One class per thing that a user wants; no Flask, no engine's dialect, no wiring."""
