"""`spikeveil quantise`: a float network becomes the specification's integers, with scales from data."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from spikeveil.host import training
from spikeveil.host.cli import privatisation
from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import layout_option
from spikeveil.host.cli.options.formats import format_options, read_search
from spikeveil.host.cli.options.release import read_release, release_options, wants_release
from spikeveil.host.cli.quantise_data import EncodedRecords, Feed, encoded, read_records
from spikeveil.host.cli.screens.quantise import print_quantised
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.data.decoder import class_counts
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.host.networks.losses import sentences
from spikeveil.host.networks.scales import LayerFormat, with_output
from spikeveil.host.networks.search import Quantised, format_by_weights, quantise_network
from spikeveil.host.networks.trade import format_trade, smallest
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.ledger import amount
from spikeveil.host.privacy.units import Unit
from spikeveil.pysim import FlipSpec, Network, NetworkSpec
from spikeveil.pysim.model.array_file import ArrayFile

EXAMPLE = "Example: spikeveil quantise runs/digits/network.npz --data digits -o digits.snn --epsilon 1"
BLOCK = 500  # records that are evaluated at once
MOST_MEASURED = 2000  # test records that a release is measured on


@dataclass(frozen=True)
class Source:
    """A float network, how it is fed, and the claim for its weights, None where they were not trained under DP-SGD."""

    network: FloatNetwork
    feed: Feed
    claim: dict[str, Any] | None


@click.command(epilog=EXAMPLE)
@click.argument("network", metavar="NETWORK.npz", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    required=True,
    metavar="NAME|DATA",
    help="Data set (digits, iris, breast-cancer, mnist, fashion-mnist, images), or a data file of your own.",
)
@layout_option
@click.option("--path", type=click.Path(exists=True, path_type=Path), help="File or folder of the data set.")
@click.option("--pool", type=click.IntRange(1), default=1, show_default=True, help="Side of squares that are averaged.")
@click.option("--encoder", type=click.Choice(("rate", "latency")), default="rate", show_default=True,
              help="For a network that takes spikes.")  # fmt: skip
@click.option("--planes", type=click.IntRange(1, 8), help="Bits of a pixel, for one fed with intensities [default: 4].")
@click.option("-T", "--steps", type=click.IntRange(1), help="Time steps, where the file does not say [default: 16].")
@format_options
@click.option("--f1", type=click.FloatRange(0, 1), help="Choose the bits too: the least memory that reaches this F1.")
@click.option("--scales", type=click.Choice(("train", "weights")), help="Choose the scales by training records, or "
              "by the weights alone [default: train, and weights for a network under DP-SGD].")  # fmt: skip
@click.option("--records", type=click.IntRange(1), default=500, show_default=True, help="Records that are measured.")
@release_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this .snn file.")
@json_option
def quantise(network: Path, **options: Any) -> None:
    """Quantise a trained float network; report the loss by layer.

    NETWORK.npz is what `spikeveil train` or `FloatNetwork.save` wrote; convolutions and pooling become dense layers.
    Scales, leaks and fraction bits are those whose spikes match the float network's best. Those of a network that was
    trained under DP-SGD come from its weights, so that its epsilon stays what it was; its training records are not
    read. --release makes the network private, as `spikeveil privatise` does; --epsilon alone flips the spikes of the
    last layer, at that epsilon of ONE spike.
    """
    release = read_release(options) if wants_release(options) else None
    data = read_records(options)
    source = _source(network, options)
    if options["scales"] == "train" and source.claim is not None:
        raise click.UsageError(
            "the scales of a network trained under DP-SGD must come from its weights: choosing them by its training "
            "records would spend privacy that no account holds"
        )
    records = encoded(data, source.feed)
    scale_source = options["scales"] or ("train" if source.claim is None else "weights")
    trade = _choose_bits(source, records, scale_source, options) if options["f1"] is not None else []
    quantised = _quantise(source, records, scale_source, options)
    spec = _with_flipper(quantised.spec, options)
    record = _report(source, records, quantised, spec, scale_source, options) | {"trade": trade}
    origin, made = _origin(network, record), None
    if release is not None:
        made = privatisation.privatise(spec, release, origin, records.spike_data(MOST_MEASURED), None)
        spec, origin = made.spec, made.origin
        record["fingerprint"] = spec.fingerprint
    if options["output"]:
        spec.save(options["output"], origin)
    if options["as_json"]:
        print_json(record | ({} if made is None else {"private": made.to_dict()}))
    else:
        print_quantised(network, record, made)


def _source(path: Path, options: dict[str, Any]) -> Source:
    with ArrayFile(path, f"network {path.name}", "a .npz file of `spikeveil train` or of a FloatNetwork") as file:
        trained = "header" in file.names
    if not trained:
        floats = FloatNetwork.load(path)
        return Source(floats, Feed(options["encoder"], options["steps"] or 16, None, floats.layers[0].inputs), None)
    return _load_trained(path, options)


def _load_trained(path: Path, options: dict[str, Any]) -> Source:
    network, metadata = training.load_network(path)  # imports torch, which a FloatNetwork does not need
    steps, direct = network.architecture.steps, network.architecture.coding == "direct"
    if options["steps"] not in (None, steps):
        raise click.UsageError(f"the network was trained over {steps} steps, not {options['steps']}")
    if options["planes"] is not None and not direct:
        raise click.UsageError("--planes is for a network fed with intensities; this one takes spikes")
    planes = (options["planes"] or 4) if direct else None
    claim = (metadata.get("result") or {}).get("claim")
    floats = training.float_network(network, planes)
    coding = "direct" if direct else options["encoder"]
    return Source(floats, Feed(coding, steps, planes, floats.layers[0].inputs), claim)


def _quantise(source: Source, records: EncodedRecords, scale_source: str, options: dict[str, Any]) -> Quantised:
    """Formats by training records, or by weights alone and then measured on test records."""
    part = slice(options["records"])
    return quantise_network(
        source.network,
        records.train(part) if scale_source == "train" else records.test(part),
        weight_bits=options["weight_bits"],
        state_bits=options["state_bits"],
        search=read_search(options),
        formats=None if scale_source == "train" else _by_weights(source.network, options),
        allow_loss=options["allow_loss"],
        max_loss=options["max_loss"],
    )


def _choose_bits(
    source: Source, records: EncodedRecords, scale_source: str, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """The trade as plain rows; the bits of the smallest choice that reaches --f1 go into `options`."""
    if scale_source != "train":
        raise click.UsageError("--f1 chooses bits by training records, and the formats of this network must not be")
    rows = format_trade(source.network, records.train(slice(options["records"])), search=read_search(options))
    with usage_errors():
        chosen = smallest(rows, options["f1"])
    options |= {"weight_bits": chosen.weight_bits, "state_bits": chosen.state_bits}
    return [row.to_dict() | {"chosen": row is chosen} for row in rows]


def _by_weights(network: FloatNetwork, options: dict[str, Any]) -> list[LayerFormat]:
    bits, search = (options["weight_bits"], options["state_bits"]), read_search(options)
    return [format_by_weights(layer, *bits, search) for layer in network.layers]


def _with_flipper(spec: NetworkSpec, options: dict[str, Any]) -> NetworkSpec:
    """`spec` with the flipper that --epsilon without --release means: of ONE spike, on the last layer."""
    if options["epsilon"] is None or options["release"] is not None:
        return spec
    if spec.layers[-1].readout:
        raise click.UsageError(
            "--epsilon without --release flips spikes, and the last layer is a readout, which has none: --release "
            "decision --epsilon E releases a randomised class"
        )
    with usage_errors():
        target = float(amount("flip epsilon", options["epsilon"]))
        return with_output(spec, flip=FlipSpec.for_epsilon(target, options["flip_bits"] or 8))


def _report(
    source: Source,
    data: EncodedRecords,
    quantised: Quantised,
    spec: NetworkSpec,
    scale_source: str,
    options: dict[str, Any],
) -> dict[str, Any]:
    floats, integers = _accuracies(source, data, quantised.spec)
    flip = spec.layers[-1].flip
    return {
        "data": data.name,
        "data_sha256": data.digest,
        "encoder": source.feed.encoder,
        "planes": source.feed.planes,
        "steps": data.test(slice(1)).shape[1],
        "classes": data.classes,
        "weight_bits": options["weight_bits"],
        "state_bits": options["state_bits"],
        "scales_from": "training records" if scale_source == "train" else "weights",
        "layers": [_layer(layer, report) for layer, report in zip(spec.layers, quantised.reports, strict=True)],
        "notes": list(quantised.notes),
        "allow_loss": options["allow_loss"],
        "losses": sentences(quantised.reports, options["max_loss"]) if options["allow_loss"] else [],
        "test_records": data.count,
        "float_accuracy": floats,
        "integer_accuracy": integers,
        "flip": None if flip is None else {"threshold": flip.threshold, "bits": flip.bits,
                                           "epsilon_of_a_record": record_epsilon(spec, source.feed.steps),
                                           "epsilon_of_one_spike": flip.epsilon},
        "training_claim": source.claim,
        "fingerprint": spec.fingerprint,
        "file": None if options["output"] is None else str(options["output"]),
    }  # fmt: skip


def record_epsilon(spec: NetworkSpec, steps: int) -> float:
    """Epsilon of one whole record at delta 1e-6."""
    return Claim.of(spec, steps, source="trivium", delta=1e-6).epsilon(Unit.RECORD)


def _layer(layer: Any, report: Any) -> dict[str, Any]:
    return {
        "inputs": layer.inputs,
        "neurons": layer.neurons,
        "scale": sorted(set(report.scale)),
        "fraction_bits": layer.fraction_bits,
        "float_range": list(report.float_range),
        "integer_range": list(report.integer_range),
        "clipped": report.clipped,
        "threshold": None if report.threshold is None else list(report.threshold),
        "decay": report.decay,
        "leak": str(report.leak),
        "dead_band": list(report.dead_band),
        "potential_range": list(report.potential_range),
        "saturated": report.saturated,
        "match": None if report.match is None else report.match.to_dict(),
        "correlation": report.correlation,
        "readout": layer.readout,
        "float_rate": report.float_rate,
        "integer_rate": report.integer_rate,
    }


def _accuracies(source: Source, data: EncodedRecords, spec: NetworkSpec) -> tuple[float | None, float | None]:
    """Of the floats and of the integers, from raw spikes or potentials, on all test records; None without labels."""
    if data.labels is None:
        return None, None
    right = np.zeros(2)
    for start in range(0, data.count, BLOCK):
        x, labels = data.test(slice(start, start + BLOCK)), data.labels[start : start + BLOCK]
        result = Network(spec).run(x)
        integers = class_counts(result.raw[-1], data.classes) if result.readout is None else result.readout[:, -1]
        for index, scores in enumerate((source.network.scores(x, data.classes), integers)):
            right[index] += (np.argmax(scores, axis=1) == labels).sum()
    shares = right / data.count
    return float(shares[0]), float(shares[1])


def _origin(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    names = ["data", "data_sha256", "encoder", "planes", "steps", "classes", "scales_from", "training_claim"]
    names += ["allow_loss", "losses"] if record["allow_loss"] else []
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    copied = {name: record[name] for name in names}
    return {"made_by": "spikeveil quantise", "source": path.name, "source_sha256": digest} | copied
