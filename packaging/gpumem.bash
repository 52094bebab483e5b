# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Bash completion for gpumem. The commands and their options are what the
# command's own help lists.

_gpumem_words()
{
	case $1 in
	commands) "$2" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' ;;
	options) "$2" "${@:3}" --help 2>/dev/null | grep -oE -- '(^|[ ,[])--[a-z0-9-]+' | tr -d ' ,[' ;;
	devices) for d in /sys/bus/pci/devices/*; do basename "$d"; done ;;
	esac
}

_gpumem()
{
	local program=$1 word=$2 before=$3 words='' part=()

	COMPREPLY=()
	case $before in
	--backend) words="kmod rm dmabuf sim" ;;
	--peer | --device-id) words=$(_gpumem_words devices) ;;
	esac
	if [ -z "$words" ]; then
		if [ "$COMP_CWORD" -eq 1 ]; then
			words="$(_gpumem_words commands "$program") --help --version"
		elif [ "$COMP_CWORD" -eq 2 ] && [ "${word#-}" = "$word" ]; then
			# The second word of "bench pin".
			words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null |
				sed -n "s/^Usage: gpumem ${COMP_WORDS[1]} \([a-z|]*\).*/\1/p" | tr '|' ' ')
		else
			# The part, as in "bench pin", where there is one.
			[[ ${COMP_WORDS[2]} == -* ]] || part=("${COMP_WORDS[2]}")
			words="$(_gpumem_words options "$program" "${COMP_WORDS[1]}" \
				"${part[@]}") --help"
		fi
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	# A PCI address has colons, at which bash splits words.
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$word"
	fi
}

complete -F _gpumem gpumem
