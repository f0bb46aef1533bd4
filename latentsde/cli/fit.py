"""`latentsde fit`: a table of irregular series in, a run directory out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from latentsde.cli.options import (
    Device,
    Overwrite,
    Resume,
    Samples,
    Seed,
    Steps,
    Threads,
    column_list,
    positive,
    whole,
)


def fit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA.csv",
            help="One row for each series and time: .csv, .csv.gz or .parquet.",
            show_default=False,
        ),
    ],
    id: Annotated[str, typer.Option("--id", metavar="COL", help="Column that names the series.")],
    time: Annotated[str, typer.Option("--time", metavar="COL", help="Column of times: numbers or ISO 8601.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Directory to write the run to.")],
    values: Annotated[
        str | None,
        typer.Option("--values", metavar="a,b,...", help="Columns to model; default: all others of numbers."),
    ] = None,
    static: Annotated[
        str | None,
        typer.Option("--static", metavar="c,d,...", help="Columns constant within a series, as covariates."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="latent-sde, or to compare with: latent-ode, latent-ode-rnn-encoder, ode-rnn, rnn-delta-t, "
            "rnn-decay, gru-d, rnn-vae, deep-markov.",
        ),
    ] = "latent-sde",
    simulation_free: Annotated[
        bool,
        typer.Option(
            "--simulation-free",
            help="Train the latent SDE without a solver, by the posterior's law at random times.",
        ),
    ] = False,
    linearised: Annotated[
        bool,
        typer.Option(
            "--linearised",
            help="Train the latent SDE by an extended Kalman filter: normal likelihoods, few dimensions.",
        ),
    ] = False,
    likelihood: Annotated[
        str,
        typer.Option(
            "--likelihood",
            metavar="FAMILY",
            help="For all features, or for each: stage=categorical,crp=censored-normal (the others normal). "
            "Families: normal, laplace, student-t; poisson for counts, bernoulli for 0 and 1, categorical "
            "for texts or whole numbers; censored-normal, censored-laplace where values may be limits such "
            "as <0.3.",
        ),
    ] = "normal",
    observation_times: Annotated[
        str,
        typer.Option(
            "--observation-times",
            metavar="given|poisson",
            help="Whether the times of the rows are data too: events of a Poisson process whose intensity "
            "depends on the latent state.",
        ),
    ] = "given",
    follow_up: Annotated[
        str | None,
        typer.Option(
            "--follow-up",
            metavar="COL",
            help="Column that says until when a series was followed; default: until its last row.",
        ),
    ] = None,
    time_unit: Annotated[
        str | None,
        typer.Option(
            "--time-unit", metavar="UNIT", help="Unit of ISO 8601 times: s, min, h, D, W; a label of numbers."
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin",
            metavar="common|series",
            help="Where times begin: the same for all series, or each one's first row. "
            "Default: common for numbers, series for ISO 8601.",
        ),
    ] = None,
    period: Annotated[
        float | None,
        typer.Option(
            "--period",
            parser=positive,
            metavar="FLOAT",
            help="Of a known rhythm, such as 24 for hours and days. Series with an origin of their own then "
            "begin at the last multiple of it before their first row.",
        ),
    ] = None,
    steps: Steps = 1500,
    batch_size: Annotated[
        int, typer.Option("--batch-size", parser=whole(1, 10**9), metavar="INT", help="Series in a step.")
    ] = 64,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", parser=positive, metavar="FLOAT", help="The highest.")
    ] = 1e-2,
    patience: Annotated[
        int,
        typer.Option(
            "--patience",
            parser=whole(0, 10**9),
            metavar="INT",
            help="Validations without a better ELBO after which training stops; 0: never.",
        ),
    ] = 10,
    dt: Annotated[
        float | None,
        typer.Option(
            "--dt",
            parser=positive,
            metavar="FLOAT",
            help="Largest solver step, in the data's unit; default: about 1/64 of a series.",
        ),
    ] = None,
    latent: Annotated[
        int,
        typer.Option(
            "--latent",
            parser=whole(1, 4096),
            metavar="INT",
            help="Size of the latent state, where there is one.",
        ),
    ] = 8,
    hidden: Annotated[
        int,
        typer.Option(
            "--hidden",
            parser=whole(1, 65536),
            metavar="INT",
            help="Width of the networks; of a recurrent model, its state.",
        ),
    ] = 32,
    hidden_share: Annotated[
        float,
        typer.Option(
            "--hidden-share",
            metavar="FLOAT",
            help="Of the values, hidden from the recognition network in training, 0 to 0.9.",
        ),
    ] = 0.3,
    samples: Samples = 199,
    seed: Seed = 0,
    device: Device = "cpu",
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            parser=whole(1, 4096),
            metavar="INT",
            help="That share each batch; they change the speed, not the result.",
        ),
    ] = 1,
    threads: Threads = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit a model to a table of irregular time series; score it beside baselines; draw and report.

    An empty field is a value not observed. Writes config.json, model.safetensors, metrics.json, history.csv,
    figures/, checkpoints/, logs/ and report.html to --out. Ten series or more are split 80/10/10 into
    training, validation and test; fewer are all trained on, with the last 20 % of each and 10 % of the
    values before withheld for the scores.

    \b
    Example:
      latentsde fit visits.csv --id patient --time day --static age,sex --out runs/visits
      latentsde fit counts.csv --id site --time date --time-unit D \\
          --likelihood poisson --out runs/counts
    """
    from latentsde.cli.likelihoods import categories_of, parse_likelihoods
    from latentsde.cli.pipeline import Plan, carry_out, schedule_for
    from latentsde.cli.source import read_to_fit
    from latentsde.cli.steps import check_fit
    from latentsde.cli.study import study_of
    from latentsde.errors import InputError
    from latentsde.models import LatentSDEConfig, config_for, model_class
    from latentsde.training import TrainingConfig, check_directory

    check_directory(out, resume=resume, overwrite=overwrite)
    training = TrainingConfig(
        **schedule_for(steps),
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        hidden_share=hidden_share,
        seed=seed,
        device=device,
        processes=processes,
    )
    kind = model_class(model)
    options: dict[str, Any] = {"dt": dt, "latent": latent, "hidden": hidden}
    options["likelihoods"] = parse_likelihoods(likelihood)
    options["observation_times"] = observation_times
    if follow_up is not None and observation_times == "given":
        raise InputError(
            "--follow-up counts only where observation times are data; add --observation-times poisson, or "
            "leave --follow-up out"
        )
    if simulation_free and linearised:
        raise InputError("--simulation-free and --linearised are two ways to train; choose one")
    for asked, option, posterior in (
        (simulation_free, "--simulation-free", "marginals"),
        (linearised, "--linearised", "linearised"),
    ):
        if not asked:
            continue
        if not issubclass(kind.config_type, LatentSDEConfig):
            raise InputError(f"{option} is for the latent SDE; leave it out with --model {model}")
        options["posterior"] = posterior
    names = None if values is None else column_list(values, "--values")
    series, section = read_to_fit(
        data,
        id=id,
        time=time,
        values=names,
        categories=categories_of(options["likelihoods"], names),
        static=() if static is None else column_list(static, "--static"),
        follow_up=follow_up,
        time_unit=time_unit,
        origin=origin,
        period=period,
    )
    # For all of the data, so that what is withheld is checked as well.
    check_fit(series, config_for(series, kind.config_type, **options))
    study = study_of(series, section, seed=seed, period=period)
    plan = Plan(
        out,
        training,
        name=kind.name,
        model=options,
        samples=samples,
        threads=threads,
        resume=resume,
        overwrite=overwrite,
    )
    carry_out(study, plan)
