"""The names of the information criteria."""

CRITERIA = ("bic", "icl", "aic", "nec")
