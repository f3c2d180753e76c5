"""Options that several commands have, said once."""

from __future__ import annotations

from typing import Annotated

import typer

IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index", help="The index: a folder, or milvus://HOST:19530/COLLECTION (PASSAGES_INDEX).", show_default="index"
    ),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A model's folder, or its name in the local cache (PASSAGES_MODEL).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for programs.")]
