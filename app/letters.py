"""Letters as two spellings share them, for names and for full text alike."""

import unicodedata


def bare(text: str) -> str:
    """Give a text without case and accents; done twice it changes nothing, whatever the script."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in folded if not unicodedata.combining(char))
