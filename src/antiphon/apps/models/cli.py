"""The commands under ``antiphon models``. As in ``apps.cli``, what they do is imported when it is asked for."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from antiphon.apps.finish import finish

ApiKey = Annotated[str | None, Option(help="The key that the server asks for.")]
models_app = typer.Typer(help="Models: on this machine, and in a server's memory.", no_args_is_help=True)

ModelUrl = Annotated[str | None, Option("--url", help="The server; http://127.0.0.1:8080 without it.")]
ModelName = Annotated[str, typer.Argument(help="ENGINE:MODEL, or ENGINE.")]


@models_app.command("list")
def list_models(url: ModelUrl = None, api_key: ApiKey = None) -> None:
    """Show what can be pulled, what is on this machine, and what is in memory where."""
    from antiphon.apps.models import command

    raise typer.Exit(finish(command.list_models(url, api_key)))


@models_app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="ENGINE:MODEL, one or several.")],
    again: Annotated[bool, Option("--again", help="Download what is on this machine already.")] = False,
) -> None:
    """Download models. What broke off goes on from where it was; HF_ENDPOINT and HF_TOKEN are heeded."""
    from antiphon.apps.models import command

    raise typer.Exit(finish(command.pull(names, again=again)))


@models_app.command()
def load(name: ModelName, url: ModelUrl = None, api_key: ApiKey = None) -> None:
    """Have a server load a model."""
    _change_models("load", {"model": name}, url, api_key)


@models_app.command()
def unload(name: ModelName, url: ModelUrl = None, api_key: ApiKey = None) -> None:
    """Have a server unload a model; replies that speak with it go on with another voice."""
    _change_models("unload", {"model": name}, url, api_key)


@models_app.command()
def swap(
    old: Annotated[str, typer.Argument(help="The model that goes.")],
    new: Annotated[str, typer.Argument(help="The model that comes first.")],
    url: ModelUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Have a server load one model and then unload another."""
    _change_models("swap", {"from": old, "to": new}, url, api_key)


@models_app.command()
def reload(
    name: Annotated[
        str | None, typer.Argument(help="A voice pack, FAMILY:ID, or a model; all voices without it.")
    ] = None,
    url: ModelUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Have a server read its voice packs again; replies under way end in the voice that they began in."""
    _change_models("reload", {} if name is None else {"model": name}, url, api_key)


def _change_models(verb: str, body: dict[str, str], url: str | None, api_key: str | None) -> None:
    from antiphon.apps.models import command

    raise typer.Exit(finish(command.change(verb, body, url, api_key)))
