from pathlib import Path


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file under the folder and what it holds, to see that nothing has changed."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
