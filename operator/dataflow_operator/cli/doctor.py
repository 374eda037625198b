"""`kubectl dataflow doctor`: the way by which the operator comes to act as a ServiceAccount, walked step by step."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow_operator.cli.checklist import Step, Verdict, data_on, exit_code_of, step, text_of, wants_mending
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.outside import advice_on_workers, said_by_the_operator, way_outside
from dataflow_operator.cli.rights import namespace, rights
from dataflow_operator.cli.server import Server, ServerError, connected
from dataflow_operator.cli.tenancy import Tenant, account, definitions, identity, pipeline, settings
from dataflow_operator.cli.terminal import BOLD, CANNOT_SAY, WIDTH, Format, Place, Streams, painted
from dataflow_operator.cli.whom import OF_TENANTS, Question
from dataflow_operator.domain.pipeline.model import Pipeline


def doctor(question: Question, place: Place, output: Format, streams: Streams) -> int:
    """Write each step as it is known; return the exit code."""
    try:
        server = connected(place)
        steps = list[Step]()
        in_colour = streams.are_in_colour
        for number, each in enumerate(walk(question, server)):
            if output is Format.TEXT:
                if number == 0:
                    streams.out.write(painted(_subject(question, server), BOLD, in_colour=in_colour) + "\n")
                streams.out.write(text_of(each, mends=wants_mending(each, steps), in_colour=in_colour, width=streams.width or WIDTH))
                streams.out.flush()
            steps.append(each)
    except ServerError as error:
        streams.err.writelines(f"error: {line}\n" for line in error.lines)
        return CANNOT_SAY
    if output.is_data:
        streams.out.write(data_of(data_on(_subject(question, server), steps), output))
    else:
        streams.out.write(painted(_summary(steps), BOLD, in_colour=in_colour) + "\n")
    return exit_code_of(steps)


def _subject(question: Question, server: Server) -> str:
    as_whom = f"ServiceAccount {server.namespace}/{question.account}"
    if question.pipeline is None:
        return as_whom
    named = f"DataflowPipeline {server.namespace}/{question.pipeline}"
    return f"{named} as {as_whom}" if question.account else named


def walk(question: Question, server: Server) -> Iterator[Step]:
    """Yield every step; what hangs on one that failed is left out, and said so. ServerError: nothing can be asked at all."""
    yield definitions(server)
    installation = yield from settings(question, server)
    found = yield from pipeline(question, server)
    if installation is not None and installation.mode not in OF_TENANTS:
        whose = "the operator's own pod" if installation.mode == "ambient" else "nobody, as an emulator wants it"
        yield step(
            "identity",
            "identity",
            Verdict.SAID,
            f"mode {installation.mode}: every pipeline calls as {whose}, whatever ServiceAccount it names",
        )
    elif installation is not None and (question.pipeline is None or found is not None or question.account is not None):
        yield namespace(server)
        read = yield from account(question, found, installation, server)
        if read is not None:
            exchange = yield from identity(read, installation)
            tenant = Tenant(namespace=server.namespace, installation=installation, account=read, exchange=exchange)
            yield from rights(question, tenant, server)
            yield from way_outside(question, tenant, found, server)
            yield from advice_on_workers(tenant, found)
    yield from _own_words(found)


def _own_words(found: Pipeline | None) -> Iterator[Step]:
    if found is not None:
        yield said_by_the_operator(found)


def _summary(steps: list[Step]) -> str:
    wrong = [each.title for each in steps if each.verdict is Verdict.WRONG]
    unknown = [each.title for each in steps if each.verdict is Verdict.UNKNOWN]
    if wrong:
        return f"wrong: {', '.join(wrong)}" + (f"; not known: {', '.join(unknown)}" if unknown else "")
    if unknown:
        return f"nothing is wrong as far as could be asked; not known: {', '.join(unknown)}"
    return "all is well"
