"""deploy/kubernetes/milvus/users.py, which no package holds: the Job gets it by itself."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parent.parent / "deploy" / "kubernetes" / "milvus" / "users.py"


def _loaded() -> ModuleType:
    spec = spec_from_file_location("users", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


users = _loaded()
