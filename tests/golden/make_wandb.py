"""Derives `wandb.json` from a recording of the W&B client's traffic.

    python make_wandb.py wandb_recording.jsonl

One line of the recording is one exchange. What is kept of each: scenario, method, path, the form of
the authorisation, body and status. Queries go (their text is the client's own; operations and
variables are the protocol), and so do the client's telemetry and what it says of its machine.
"""

import json
import pathlib
import sys

SCENARIOS = [
    "basic",
    "console_stats_exit1",
    "retry_503x2_409x1",
    "resume_allow_existing",
    "resume_allow_new",
    "auth401",
    "heartbeat",
    "nan_types",
    "sweep_run",
]
# Answers that tests give again.
ANSWERED = ["RunResumeStatus"]
# Questions that a run does not depend on.
LEFT_OUT = ["OrganizationCoreWeaveOrganizationID", "ServerFeaturesQuery"]


def exchange(row):
    body = row["body"]
    operation = body.get("operationName") if isinstance(body, dict) else None
    if row["scenario"] not in SCENARIOS or operation in LEFT_OUT:
        return None
    kept = {key: row[key] for key in ("scenario", "method", "path", "auth", "status")}
    if row["method"] == "PUT":
        return kept
    if operation:
        body = {key: body[key] for key in ("operationName", "variables")}
    if operation == "UpsertBucket":
        variables = body["variables"]
        # The client repeats it with telemetry when the run goes on.
        if variables["host"] is None:
            return None
        config = json.loads(variables["config"])
        del config["_wandb"]
        variables |= {"config": json.dumps(config), "host": "(host)", "program": "(program)"}
    if operation in ANSWERED:
        kept["response"] = row["response"]
    return kept | {"body": body}


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
    kept = [exchange(json.loads(line)) for line in lines]
    text = ",\n".join(json.dumps(one, sort_keys=True) for one in kept if one)
    target = pathlib.Path(__file__).with_name("wandb.json")
    target.write_text(f"[\n{text}\n]\n")


main()
