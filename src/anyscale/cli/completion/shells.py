"""click's completion for bash, zsh and fish, with values after `--option=` and fish's commas.

It is imported for a completion, and for its scripts.
"""

from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)


class _Bash(BashComplete):
    """bash makes `--option=value` three words, and completes the last one."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        if args and args[-1] == "=":
            return args[:-1], incomplete
        return args, "" if incomplete == "=" else incomplete


#: loads the functions of completion, without a question about insecure folders
_COMPINIT = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }"


class _Zsh(ZshComplete):
    """zsh completes the whole word, whose part after `=` is the value."""

    source_template = (
        ZshComplete.source_template.replace(
            "    for type",
            "    [[ $words[CURRENT] == -*=* ]] && compset -P '*='\n\n    for type",
        )
        .replace(" -U", "")  # with it, the part before `=` would be lost
        # A new account of zsh has no completion at all.
        .replace("    compdef ", f"    {_COMPINIT}\n    compdef ")
    )


#: line of click's script for fish -> ours
_OF_FISH = {
    "    for completion": "    set -l option (string match -r -- '^-[^=]*=' (commandline -t))\n\n"
    "    for completion",
    'split ","': 'split -m 1 ","',
    "__fish_complete_path $metadata[2];": "for path in (__fish_complete_path $metadata[2]);\n"
    '                echo "$option$path";\n            end;',
    "echo $metadata[2];": 'echo "$option$metadata[2]";',
}


class _Fish(FishComplete):
    """fish completes the whole word. A description may have commas."""

    source_template = FishComplete.source_template
    for _theirs, _ours in _OF_FISH.items():
        source_template = source_template.replace(_theirs, _ours)


SHELLS: dict[str, type[ShellComplete]] = {
    shell.name: add_completion_class(shell) for shell in (_Bash, _Zsh, _Fish)
}
