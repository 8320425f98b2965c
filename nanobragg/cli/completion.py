"""`nanoBragg completion`: a script that teaches bash or zsh the words, flags and options of the command.

Everything in it comes from the tables and parsers that the command itself reads.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nanobragg.cli.companions import noisify, nonbragg_options
from nanobragg.cli.words.common.listing import ASKED, OptionsTold
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.exchange.command_line.flags import FLAGS, OWN_OPTIONS

SHELLS = ("bash", "zsh")
_TAKE_FLAGS = ("trace", "compare", "explain")
"""Words that take flags of the original behind ``--``."""
_COMPANIONS = {"noisify": noisify.OPTIONS, "nonbragg": nonbragg_options.OPTIONS}


def run_completion(args: Sequence[str], words: Mapping[str, object] | None = None) -> int:
    """Run the subcommand; `words` gives the function of every word, this one included."""
    options = Words(
        "completion",
        "A script for the shell, which then completes words, flags and their choices. For bash: "
        'eval "$(nanoBragg completion bash)" in ~/.bashrc; for zsh the same with zsh, in ~/.zshrc.',
    )
    options.add_argument("shell", choices=SHELLS)

    def printed(typed: argparse.Namespace) -> int:
        sys.stdout.write("\n".join(script(typed.shell, words or {})) + "\n")
        return 0

    return carried_out(printed, options, args)


def script(shell: str, words: Mapping[str, object]) -> Iterator[str]:
    """The lines of the script."""
    flags = [spelling for flag in (*FLAGS, *OWN_OPTIONS) for spelling in flag.spellings]
    options, choices = {}, {}
    for word, run in words.items():
        options[word], choices[word] = _of_word(word, run)
    if shell == "zsh":
        yield "autoload -U +X bashcompinit && bashcompinit"
    yield from (
        "_nanobragg() {",
        '  local now="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" word="${COMP_WORDS[1]}" known="" i',
        f"  local flags={_quoted(flags)}",
        "  COMPREPLY=()",
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f'    known={_quoted(words)}" $flags"',
        "  else",
        '    case "$word" in',
    )
    for word in words:
        yield f"      {word})"
        if choices[word]:
            yield '        case "$before" in'
            yield from (f"          {name}) known={_quoted(some)} ;;" for name, some in choices[word].items())
            yield f"          *) known={_quoted(options[word])} ;;"
            yield "        esac"
        else:
            yield f"        known={_quoted(options[word])}"
        if word in _TAKE_FLAGS:
            yield '        for ((i = 2; i < COMP_CWORD; i++)); do [ "${COMP_WORDS[i]}" = "--" ] && known="$flags"; done'
        yield "        ;;"
    yield from (
        '      *) known="$flags" ;;',
        "    esac",
        "  fi",
        '  if [ "$COMP_CWORD" -eq 1 ] || [ "${now#-}" != "$now" ] || [ "${known#-}" = "$known" ]; then',
        '    COMPREPLY=($(compgen -W "$known" -- "$now"))',
        "  fi",
        "}",
        "complete -o default -F _nanobragg nanoBragg",
    )


def _of_word(word: str, run: object) -> tuple[list[str], dict[str, list[str]]]:
    """The options of a word, and the choices of those that have some."""
    if word in _COMPANIONS:
        return [name for option in _COMPANIONS[word] for name in option.texts.split()], {}
    try:
        run([ASKED])  # type: ignore[operator]
    except OptionsTold as listed:
        actions = listed.parser._actions
    else:
        raise AssertionError(f"{word} does not tell its options")
    choices = {
        name: [str(choice) for choice in action.choices]
        for action in actions if action.choices for name in action.option_strings
    }  # fmt: skip
    places = [
        str(choice) for action in actions if action.choices and not action.option_strings for choice in action.choices
    ]
    return [*places, *(name for action in actions for name in action.option_strings)], choices


def _quoted(names: Iterable[str]) -> str:
    return shlex.quote(" ".join(dict.fromkeys(names)))
