"""Static files under hashed names, and under their plain names until they were collected."""

from typing import Any

from django.conf import settings
from whitenoise.storage import CompressedManifestStaticFilesStorage


class CollectedOrPlainStorage(CompressedManifestStaticFilesStorage):
    """Hashed and compressed after `collectstatic`; before it, and for a file that it has not
    seen, the plain name, which WhiteNoise finds in the apps. A page never fails for want of a
    manifest."""

    manifest_strict = False
    # What a file names is renamed in it: in style sheets, and in our own modules. (Django can do
    # so for all modules, but takes comments for code: some of packages name what is not there.)
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
        """Found out once for each name, for every page asks for a few: the names are those of the
        manifest that was there when the server started."""
        asked = (name, force, settings.DEBUG)
        if asked not in self._addresses:
            self._addresses[asked] = super().url(name, force)
        return self._addresses[asked]

    def stored_name(self, name: str) -> str:
        # The parent would open the missing file to hash it, and raise.
        hashed: str | None = self.hashed_files.get(self.hash_key(self.clean_name(name)))
        return hashed or name
