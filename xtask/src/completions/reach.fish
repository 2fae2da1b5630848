# `cargo xtask` offers what `xtask` would.
complete --command cargo --condition '__fish_seen_subcommand_from xtask' --no-files \
    --arguments '(complete --do-complete "xtask "(commandline --cut-at-cursor | string replace --regex "^.*?xtask +" ""))'
# The script above knows no values of positions.
complete --command cargo --condition '__fish_seen_subcommand_from ci explain log' --no-files --arguments '@STEPS@'
