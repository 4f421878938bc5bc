/**
 * What each shell is given: it asks `supervisor complete -- WORDS…` at each Tab. The answer is a candidate a line (value, tab, description), and at
 * its end a line `:none`, `:file`, `:dir` or `:command`, for what the shell completes better by itself.
 */
export const SCRIPTS = {
  bash: `_supervisor() {
  local line rest=none current="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :*) rest="\${line#:}" ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(supervisor complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [ "$current" = "=" ] && current=""
  case "$rest" in
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    dir) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    command) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
  esac
}
complete -F _supervisor supervisor`,
  zsh: `#compdef supervisor
_supervisor() {
  local line value about rest=none
  local -a found
  while IFS= read -r line; do
    case $line in
      :*) rest=\${line#:} ;;
      *)
        value=\${line%%$'\\t'*} about=\${line#*$'\\t'}
        found+=("\${value//:/\\\\:}\${about:+:$about}")
        ;;
    esac
  done < <(supervisor complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe -V supervisor found
  [[ $rest != none && $PREFIX == --*=* ]] && compset -P '*='
  case $rest in
    file) _files ;;
    dir) _files -/ ;;
    command) _command_names -e ;;
  esac
}
if [ "$funcstack[1]" = _supervisor ]; then
  _supervisor "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _supervisor supervisor
fi`,
  fish: `function __supervisor_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l rest none
    for line in (supervisor complete -- $before[2..-1] "$current" 2>/dev/null)
        if string match -q ':*' -- $line
            set rest (string sub -s 2 -- $line)
        else
            printf '%s\\n' $line
        end
    end
    switch $rest
        case file
            __fish_complete_path "$current"
        case dir
            __fish_complete_directories "$current" ''
        case command
            __fish_complete_command
    end
end
complete -c supervisor -f -k -a '(__supervisor_complete)'`,
} as const;
