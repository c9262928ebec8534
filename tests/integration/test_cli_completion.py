"""Shell completion: the scripts that are printed, tried in a real bash, and what they ask the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import complaint, run

SCRIPTS = Path(sys.executable).parent


def completed(script: str, *words: str) -> set[str]:
    """What bash offers for the last of these words."""
    line = " ".join(f"'{word}'" for word in words)
    program = (
        f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}\n"
        f"_{words[0].replace('-', '_')}_completion {words[0]} '{words[-1]}'\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-c", program], capture_output=True, text=True, check=True, timeout=30, env=environment
    )
    # Outside of an interactive shell there is nothing whose options `compopt` could set.
    return {*done.stdout.split()}


def test_bash_completes_commands_options_and_choices() -> None:
    script = run("completion", "bash").stdout
    assert completed(script, "simpledist", "d") == {"demo", "doctor", "drain", "disable"}
    assert completed(script, "simpledist", "drain", "--h") == {"--host", "--help"}
    assert completed(script, "simpledist", "jobs", "--state", "q") == {"queued"}
    assert completed(script, "simpledist-worker", "--sl") == {"--slots"}
    assert completed(script, "simpledist-distributor", "--no") == {"--no-web"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_for_all_three_programs(shell: str) -> None:
    done = run("completion", shell, "--redis", "http://not-looked-at")
    assert (done.returncode, done.stderr) == (0, "")
    for variable in ("_SIMPLEDIST_COMPLETE", "_SIMPLEDIST_WORKER_COMPLETE", "_SIMPLEDIST_DISTRIBUTOR_COMPLETE"):
        assert f"{variable}={shell}_complete" in done.stdout


def test_another_shell_is_one_line() -> None:
    done = run("completion", "tcsh")
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in complaint(done)
    assert done.returncode == 2
