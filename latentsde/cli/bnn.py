"""`latentsde bnn`: train SDE Bayesian networks, and what they are compared with, on images; evaluate them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentsde.cli.endings import Interrupted
from latentsde.cli.options import Device, Overwrite, Resume, Seed, Threads, positive, whole
from latentsde.errors import InputError, quote

if TYPE_CHECKING:
    from latentsde.models.classifiers import ClassifierConfig

bnn = typer.Typer(rich_markup_mode=None)


@bnn.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """SDE Bayesian neural networks on images.

    \b
    Example:
      latentsde bnn train --data mnist --root DATA --out runs/mnist
      latentsde bnn evaluate runs/mnist --root DATA --samples 16
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def _numbers(text: str) -> str:
    """Checked here, read where it is used."""
    for part in text.split("-"):
        if not (part.isdecimal() and part.isascii() and 0 < int(part) < 10_000):
            raise typer.BadParameter(f"{quote(text)} is not a list of whole numbers like 2-64-2")
    return text


def _read(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-"))


Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Folder with the images; nothing is ever downloaded."),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        parser=whole(1, 10_000),
        metavar="INT",
        help="Of the weights, at test time; default: 8 where they are random.",
    ),
]


@bnn.command(short_help="Train a classifier of images.")
def train(
    context: typer.Context,
    data: Annotated[str, typer.Option("--data", metavar="mnist|cifar10", help="Which images.")],
    root: Root,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Directory to write the run to.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="sde-bnn, or to compare with: odenet, hyper-odenet, resnet32, mean-field-resnet32, "
            "mean-field-odenet, mean-field-hyper-odenet, deep-ensemble, mc-dropout.",
        ),
    ] = "sde-bnn",
    steps: Annotated[
        int, typer.Option("--steps", parser=whole(1, 10**9), metavar="INT", help="Training steps.")
    ] = 5000,
    batch_size: Annotated[
        int, typer.Option("--batch-size", parser=whole(1, 10**6), metavar="INT", help="Images in a step.")
    ] = 128,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", parser=positive, metavar="FLOAT", help="The highest.")
    ] = 1e-3,
    warmup_steps: Annotated[
        int,
        typer.Option(
            "--warmup-steps",
            parser=whole(0, 10**9),
            metavar="INT",
            help="Over which the rate rises to its highest.",
        ),
    ] = 50,
    final_learning_rate: Annotated[
        float,
        typer.Option(
            "--final-learning-rate",
            metavar="SHARE",
            help="Of the highest rate, to which a cosine falls; 1 keeps it.",
        ),
    ] = 0.03,
    blocks: Annotated[
        str,
        typer.Option("--blocks", parser=_numbers, metavar="1-1", help="Of continuous depth, in each group."),
    ] = "1-1",
    reduce: Annotated[
        int,
        typer.Option(
            "--reduce",
            parser=whole(0, 5),
            metavar="INT",
            help="Times that space goes to depth before the first group; 0 costs four times as much as 1.",
        ),
    ] = 1,
    augment: Annotated[
        int, typer.Option("--augment", parser=whole(0, 1024), metavar="INT", help="Channels of zeros added.")
    ] = 4,
    width: Annotated[
        int, typer.Option("--width", parser=whole(1, 4096), metavar="INT", help="Channels within a block.")
    ] = 32,
    sigma: Annotated[
        float, typer.Option("--sigma", parser=positive, metavar="FLOAT", help="Diffusion of the weights.")
    ] = 0.01,
    prior: Annotated[
        str, typer.Option("--prior", metavar="ornstein-uhlenbeck|brownian", help="Of the weights' path.")
    ] = "brownian",
    hidden: Annotated[
        str, typer.Option("--hidden", parser=_numbers, metavar="2-64-2", help="Layers of the weights' drift.")
    ] = "2-64-2",
    rank: Annotated[
        int | None,
        typer.Option(
            "--rank",
            parser=whole(1, 10_000),
            metavar="INT",
            help="Of low-rank matrices between weights and a wide --hidden; default: full ones.",
        ),
    ] = None,
    unit: Annotated[
        float | None,
        typer.Option(
            "--unit",
            parser=positive,
            metavar="FLOAT",
            help="In which the drift sees and moves the weights; default: --sigma.",
        ),
    ] = None,
    initial: Annotated[
        str,
        typer.Option("--initial", metavar="point|normal", help="Weights at depth 0: learned, or random."),
    ] = "point",
    depth_steps: Annotated[
        int, typer.Option("--depth-steps", parser=whole(1, 10_000), metavar="INT", help="Of the solver.")
    ] = 6,
    method: Annotated[str, typer.Option("--method", metavar="METHOD", help="Of the solver.")] = "euler",
    adjoint: Annotated[
        str,
        typer.Option(
            "--adjoint",
            metavar="ADJOINT",
            help="direct, checkpointed, backsolve; or reversible, with --method reversible_heun, whose "
            "memory does not grow with depth.",
        ),
    ] = "direct",
    sticking_the_landing: Annotated[
        bool,
        typer.Option(
            "--sticking-the-landing/--plain", help="Whether the KL's gradient has its noise taken out."
        ),
    ] = True,
    members: Annotated[
        int, typer.Option("--members", parser=whole(1, 1000), metavar="INT", help="Of a deep-ensemble.")
    ] = 5,
    dropout: Annotated[
        float, typer.Option("--dropout", metavar="FLOAT", help="Share that mc-dropout drops, below 1.")
    ] = 0.1,
    widths: Annotated[
        str,
        typer.Option(
            "--widths", parser=_numbers, metavar="16-32-64", help="Channels of a residual network's stages."
        ),
    ] = "16-32-64",
    training_samples: Annotated[
        int,
        typer.Option(
            "--samples", parser=whole(1, 1000), metavar="INT", help="Of the weights, for every batch."
        ),
    ] = 1,
    validation: Annotated[
        int | None,
        typer.Option(
            "--validation",
            parser=whole(0, 10**6),
            metavar="INT",
            help="Training images held out to choose the best weights; default: a tenth.",
        ),
    ] = None,
    tempering: Annotated[
        float,
        typer.Option(
            "--tempering", parser=positive, metavar="FLOAT", help="Of the KL in the loss; 1 is the bound."
        ),
    ] = 1.0,
    average: Annotated[
        float, typer.Option("--average", metavar="FLOAT", help="Decay of the running average of weights.")
    ] = 0.999,
    crop: Annotated[
        int,
        typer.Option(
            "--crop", parser=whole(0, 16), metavar="INT", help="Pixels by which training images are moved."
        ),
    ] = 0,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror training images at random.")] = False,
    precision: Annotated[
        str, typer.Option("--precision", metavar="float32|bfloat16", help="Of the blocks' arithmetic.")
    ] = "float32",
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a classifier of images; some of the training images are held out for validation.

    Writes config.json, model.safetensors (the running average of the weights, of the best validation),
    history.csv and checkpoints/ to --out. Interrupted, it goes on with --resume, to the same weights.

    \b
    Example:
      latentsde bnn train --data mnist --root DATA --out runs/mnist
    """
    import torch

    from latentsde.data.images import read_images
    from latentsde.models.classifiers import ClassifierConfig
    from latentsde.models.sde_bnn import Depth
    from latentsde.training import ClassifierTrainingConfig, check_directory, fit_classifier

    torch.set_num_threads(threads)
    check_directory(out, resume=resume, overwrite=overwrite)
    config = ClassifierTrainingConfig(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        final_learning_rate=final_learning_rate,
        samples=training_samples,
        tempering=tempering,
        average=average,
        crop=crop,
        flip=flip,
        precision=precision,
        validate_every=max(1, min(500, steps // 10)),
        seed=seed,
        device=device,
    )
    images, _ = read_images(data, root)
    held_out = len(images) // 10 if validation is None else validation
    train_images, validation_images = images.split(held_out, seed=seed) if held_out else (images, None)
    chosen = ClassifierConfig.for_images(
        train_images,
        model=model,
        blocks=_read(blocks),
        reduce=reduce,
        augment=augment,
        width=width,
        sigma=sigma,
        prior=prior,
        hidden=_read(hidden),
        rank=rank,
        unit=unit,
        initial=initial,
        sticking_the_landing=sticking_the_landing,
        depth=Depth(depth_steps, method, adjoint),
        members=members,
        dropout=dropout,
        widths=_read(widths),
    )
    _check_options(context, chosen)
    try:
        fit = fit_classifier(
            chosen,
            train_images,
            validation=validation_images,
            out=out,
            config=config,
            resume=resume,
            overwrite=overwrite,
            metadata={"data": data},
        )
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; continue the run in {out} with --resume") from None
    print(f"Trained {fit.steps} steps in {fit.seconds / 60:.1f} minutes; the best was {fit.best_step}.")
    print(f"Next: latentsde bnn evaluate {out} --root {root}")


def _check_options(context: typer.Context, config: ClassifierConfig) -> None:
    """InputError for an option that was given and does nothing for this model."""
    without = {
        "tempering": config.has_kl,
        "training_samples": config.is_random and not config.uses("members"),
    }
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        attribute = "steps" if name == "depth_steps" else name
        if name in ("steps", "seed") or source is None or source.name != "COMMANDLINE":
            continue
        if not without.get(name, config.uses(attribute)):
            given = parameter.secondary_opts if context.params[name] is False else parameter.opts
            raise InputError(f"{given[0]} changes nothing for --model {config.model}; leave it out")


@bnn.command(short_help="Score a trained classifier on the test images.")
def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory that 'bnn train' wrote.", show_default=False)
    ],
    root: Root,
    samples: Samples = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            parser=positive,
            metavar="FLOAT",
            help="Solve by adaptive steps of this tolerance (Heun), 1e-3 or more for most networks; default: "
            "the steps of training.",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Accuracy, NLL, calibration and Brier score on the test images; figures; out-of-distribution AUC.

    Writes metrics.json, figures/ and report.html to the run.

    \b
    Example:
      latentsde bnn evaluate runs/mnist --root DATA --samples 16
      latentsde bnn evaluate runs/mnist --root DATA --tolerance 1e-2
    """
    import torch

    from latentsde.evaluation.classifier_report import report_classifier
    from latentsde.models.sde_bnn import Depth

    if not root.is_dir():
        raise InputError(f"{root} is no directory; name the one that holds the images with --root")
    torch.set_num_threads(threads)
    depth = None if tolerance is None else Depth(method="heun", tolerance=tolerance)
    metrics = report_classifier(run, root, samples=samples, seed=seed, depth=depth, device=device)
    scores, how = metrics["test"], metrics["how"]
    nll = "∞" if scores["nll"] is None else f"{scores['nll']:.4f}"
    if metrics["note"]:
        print(metrics["note"])
    print(
        f"accuracy {100 * scores['accuracy']:.2f} %, NLL {nll}, "
        f"ECE (10 bins) {100 * scores['ece']:.2f}e-2, Brier {scores['brier']:.4f} "
        f"({scores['count']:,} images, samples of the weights: {how['samples']}"
        + (")" if how["tempering"] is None else f", tempering {how['tempering']:g})")
    )
    if metrics["ood_auc"] is None:
        print(f"no out-of-distribution AUC: {metrics['ood_note']}")
    else:
        information = metrics["ood_auc_information"]
        ways = f"by entropy {metrics['ood_auc']:.3f}"
        if information is not None:
            ways += f", by mutual information {information:.3f}"
        print(f"AUC of telling them from others {ways} ({metrics['ood_note']})")
    print(f"Report: {run / 'report.html'}")
