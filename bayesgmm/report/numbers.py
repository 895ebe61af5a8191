"""Numbers as a reader wants them: as many digits as they carry, a true minus sign, a dash for what is not known."""

import math

MISSING = "–"
MINUS = "\u2212"


def significant(value: float, digits: int = 4) -> str:
    """`value` with about so many significant digits, in scientific notation from 10 million up and below 1e-5; NaN as a dash."""
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude >= 7 or magnitude < -5:
        return _tidy(f"{value:.{digits - 1}e}")
    return _tidy(f"{value:,.{max(0, digits - 1 - magnitude)}f}")


def decimals_for(sd: float) -> int | None:
    """Decimals at which `sd` shows two significant digits; None where that is not a sensible way to print."""
    if not math.isfinite(sd) or sd <= 0:
        return None
    decimals = 1 - math.floor(math.log10(sd))
    return max(decimals, 0) if -5 <= decimals <= 6 else None


def fixed(value: float, decimals: int | None) -> str:
    """`value` with so many decimals, or four significant digits where `decimals` is None; NaN as a dash."""
    if decimals is None or not math.isfinite(value) or abs(value) >= 1e9:
        return significant(value)
    return _tidy(f"{value:,.{decimals}f}")


def interval(lower: float, upper: float, decimals: int | None) -> str:
    """An interval in square brackets."""
    return f"[{fixed(lower, decimals)}, {fixed(upper, decimals)}]"


def signed(value: float) -> str:
    """A shift in standard deviations: two decimals and always a sign; NaN as a dash."""
    return _tidy(f"{value:+.2f}") if math.isfinite(value) else _not_finite(value)


def probability(value: float) -> str:
    """Three decimals; a probability that is not exactly 0 or 1 is never printed as if it were."""
    if not math.isfinite(value):
        return MISSING
    if 0 < value < 0.0005:
        return "<0.001"
    if 0.9995 <= value < 1:
        return ">0.999"
    return f"{value:.3f}"


def count(value: float) -> str:
    """A whole number with thousands separators; NaN as a dash."""
    return _tidy(f"{value:,.0f}") if math.isfinite(value) else _not_finite(value)


def _not_finite(value: float) -> str:
    return MISSING if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")


def _tidy(text: str) -> str:
    """A true minus sign, and none on a number that rounds to zero."""
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)
