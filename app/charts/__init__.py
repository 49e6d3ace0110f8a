"""Charts of what `/v1` answers, as Vega-Lite specifications and as the pictures drawn from them."""
