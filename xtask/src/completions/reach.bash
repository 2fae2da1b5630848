# `cargo xtask` is completed by the function above, anything else of cargo's by what was there before.
_xtask_before=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\).*/\1/p')
[ "$_xtask_before" != _cargo_or_xtask ] || _xtask_before=
_cargo_or_xtask() {
    if [ "${COMP_WORDS[1]}" = xtask ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _xtask xtask "$2" "$3"
    elif [ -n "$_xtask_before" ]; then
        "$_xtask_before" "$@"
    elif [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "xtask" -- "$2"))
    fi
}
complete -o bashdefault -o default -F _cargo_or_xtask cargo
