"""What a target raises when an input shows a defect."""


class Finding(AssertionError):
    """A property that an input violates."""


def require(condition: bool, text: str) -> None:
    """Raise a Finding unless the condition holds."""
    if not condition:
        raise Finding(text)
