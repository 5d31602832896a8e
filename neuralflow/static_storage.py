"""Static files with hashed names, or plain names before `collectstatic`."""

from typing import Any

from django.conf import settings
from whitenoise.storage import CompressedManifestStaticFilesStorage


class CollectedOrPlainStorage(CompressedManifestStaticFilesStorage):
    """Hashed and compressed static files, with a fallback to plain names.

    The fallback applies before `collectstatic`, and to files added since. WhiteNoise finds those in
    the apps. A missing manifest therefore never breaks a page.
    """

    manifest_strict = False
    # References to other files are replaced in style sheets and in our own modules. (Django's own
    # support for modules also parses comments, in which some packages name missing files.)
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        (
            "js/*.js",
            (
                (r'(?P<matched>import "(?P<url>\./[^"]+)")', 'import "%(url)s"'),
                (r'(?P<matched>from "(?P<url>\./[^"]+)")', 'from "%(url)s"'),
            ),
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses: dict[tuple[str, bool, bool], str] = {}

    def url(self, name: str, force: bool = False) -> str:
        """Return the URL of a file, cached by name for the lifetime of the process."""
        key = (name, force, settings.DEBUG)
        if key not in self._addresses:
            self._addresses[key] = super().url(name, force)
        return self._addresses[key]

    def stored_name(self, name: str) -> str:
        # The parent class would raise when opening the missing file to hash it.
        hashed: str | None = self.hashed_files.get(self.hash_key(self.clean_name(name)))
        return hashed or name
