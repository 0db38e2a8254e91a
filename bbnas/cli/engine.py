"""Commands on what runs by 1-bit operations: pack, export-model, profile, doctor."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import plain, print_json, print_table


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The model, a .bbn file.")
@click.option("--explain", is_flag=True, help="Account for each byte of the file.")
@options.as_json
def pack(checkpoint: str, output: str, explain: bool, as_json: bool) -> None:
    """Pack a trained CHECKPOINT into one small file that runs by 1-bit operations."""
    from bbnas.cost import count
    from bbnas.engine import compile_network, write_program
    from bbnas.engine import explain as account
    from bbnas.inference.checkpoint import load_checkpoint

    network, info = load_checkpoint(checkpoint)
    program = compile_network(network, info.recipe.task)
    size = write_program(program, Path(output))
    cost = count(network.design, info.recipe.task)
    rows = list(account(program, cost))
    if as_json:
        content = [dict(zip(("content", "bytes", "note"), row, strict=True)) for row in rows]
        print_json({"output": output, "bytes": size, "params": cost.params, "content": content})
        return
    if explain:
        print_table(("content", "bytes", ""), rows, output)
    click.echo(
        f"{output}: {size:,} bytes ({cost.params * 4:,.0f} by the paper's Params); "
        f"restore with: bbnas restore {output} IMAGES -o FOLDER"
    )


@click.command("export-model")
@click.argument("checkpoint", type=click.Path())
@click.option("--format", "form", required=True, type=click.Choice(["openvino", "onnx"]))
@click.option("-o", "--output", required=True, type=click.Path(), help="A .xml or .onnx file.")
@options.as_json
def export_model(checkpoint: str, form: str, output: str, as_json: bool) -> None:
    """Write a trained CHECKPOINT as a model for OpenVINO (1-bit) or ONNX (floating point).

    Its input lq and output hq are float32 (N, C, H, W) in 0..1.
    """
    from bbnas.engine import compile_network
    from bbnas.engine.export import export_program
    from bbnas.inference.checkpoint import load_checkpoint

    network, info = load_checkpoint(checkpoint)
    exported = export_program(compile_network(network, info.recipe.task), form, Path(output))
    if as_json:
        print_json({"output": output, "format": form, **plain(exported)})
        return
    for path, size in exported.files.items():
        click.echo(f"{path}: {size:,} bytes")
    layers = f"{exported.one_bit_layers} of {exported.binary_layers} binary convolutions are 1-bit"
    if form == "openvino":
        click.echo(f"{layers}; call model.reshape([1, C, H, W]) before compile_model")
    else:
        click.echo(f"{layers}: ONNX has no such operation, they are in floating point")


@click.command()
@click.argument("design")
@options.task
@options.latency_setting
@click.option("--html", type=click.Path(), help="Also draw it on a page of its own.")
@click.option("--layers", is_flag=True, help="A row for each operation, not for each part.")
@options.as_json
def profile(
    design: str,
    task: str,
    lq: tuple[int, int],
    threads: int,
    html: str | None,
    layers: bool,
    as_json: bool,
) -> None:
    """Time each layer of a DESIGN (a preset, a YAML file or a packed .bbn) on this machine."""
    from bbnas.engine import read_program
    from bbnas.engine.latency import program_of, setting
    from bbnas.engine.profile import by_part_and_work
    from bbnas.engine.profile import profile as measure
    from bbnas.presets import load_design
    from bbnas.tasks import get_task
    from bbnas.text import share

    if design.endswith(".bbn"):
        program = read_program(Path(design))
    else:
        restored = get_task(task)
        program = program_of(load_design(design, restored), restored)
    where = setting(lq, threads)
    found = measure(program, where)
    sums, total = by_part_and_work(found), sum(layer.seconds for layer in found)
    if html is not None:
        from bbnas.reporting.draw import draw_profile
        from bbnas.reporting.plain import write_figures

        title = f"Where the time of {Path(design).name} goes"
        words = f"{total * 1e3:.1f} ms of processor time: {where.words()}."
        write_figures(html, title, words, [draw_profile(found)])
    if as_json:
        parts = [{"part": p, "work": w, "seconds": s} for (p, w), s in sums.items()]
        print_json({"setting": where, "seconds": total, "parts": parts, "layers": found})
        return
    title = f"{design}: {where.words()}"
    if layers:
        columns = ("layer", "part", "work", "channels", "ms", "share")
        rows = [
            (x.index, x.part, x.work, x.channels, x.seconds * 1e3, share(x.seconds / total))
            for x in found
        ]
        print_table(columns, rows, title)
    else:
        lines = [(*place, s * 1e3, share(s / total)) for place, s in sums.items()]
        print_table(("part", "work", "ms", "share"), lines, title)
    click.echo(
        f"{total * 1e3:.1f} ms of processor time in all, the fastest of 5 runs of each layer"
    )
    if html is not None:
        click.echo(f"wrote {html}")


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Say what packed models and training run on here: compiled or not, which one, and why."""
    from bbnas.engine.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    able = [name for name, runs in found["isas"].items() if runs]
    state = {None: "", True: ", up to date", False: ", older than its sources: install again"}
    lines = [
        ("engine", f"{found['path']}{': ' + found['isa'] if found['isa'] else ''}"),
        ("because", found["reason"]),
        ("instruction sets", ", ".join(able) or "none"),
        ("library", f"{found['library'] or 'none'}{state[found['current']]}"),
        ("compiler", found["compiler"] or "none found"),
        ("processor", f"{found['cpu']}, {found['cores']} cores"),
    ]
    print_table(("", ""), lines)
