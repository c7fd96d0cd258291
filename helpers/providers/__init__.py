"""One module per source; `PROVIDERS` names them all."""
