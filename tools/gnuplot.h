/* SPDX-License-Identifier: MIT */
/* gpumem bench copy --plot: the script that gnuplot runs in the folder. */
#ifndef GPUMEM_TOOL_GNUPLOT_H
#define GPUMEM_TOOL_GNUPLOT_H

/*
 * copy.dat has the title in its first line, behind "# ", and then blocks with
 * two empty lines between them: two for each direction and kind of host
 * memory, microseconds and then GB/s. A block's first line names its file and
 * its columns.
 */
static const char gnuplot_script[] =
	"# Draws copy.dat: gnuplot copy.gp\n"
	"title = system(\"sed -n '1s/^# //p' copy.dat\")\n"
	"set datafile separator tab\n"
	"set datafile missing '-'\n"
	"set logscale x 2\n"
	"set grid xtics ytics lt 1 lw 1 lc rgb '#cccccc'\n"
	"set autoscale xfix\n"
	"set offsets graph 0, graph 0.02, 0, 0\n"
	"set bmargin 5\n"
	"set label 1 title at screen 0.5, 0.025 center noenhanced "
	"font ',9'\n"
	"set key left top reverse Left samplen 2\n"
	"set xlabel 'bytes'\n"
	"set style data linespoints\n"
	"set xtics ('4' 4, '16' 16, '64' 64, '256' 256, '1 Ki' 1024, "
	"'4 Ki' 4096, '16 Ki' 16384, '64 Ki' 65536, '256 Ki' 262144, "
	"'1 Mi' 1048576, '4 Mi' 4194304, '16 Mi' 16777216, "
	"'64 Mi' 67108864)\n"
	"set linetype 1 lw 3 pt 7 ps 0.6 lc rgb '#76b900'\n"
	"set linetype 2 lw 2 pt 5 ps 0.5 lc rgb '#444444'\n"
	"set linetype 3 lw 2 pt 9 ps 0.6 lc rgb '#c04000'\n"
	"set linetype 4 lw 1 pt 2 ps 0.5 lc rgb '#3060c0'\n"
	"set linetype 5 lw 1 pt 3 ps 0.5 lc rgb '#9040a0'\n"
	"names = system(\"sed -n 's/^bytes:\\\\([a-z-]*\\\\).*/\\\\1/p' "
	"copy.dat\")\n"
	"do for [i = 1:words(names)] {\n"
	"\tname = word(names, i)\n"
	"\tfast = strstrt(name, 'bandwidth') > 0\n"
	"\tif (fast) { unset logscale y; set yrange [0:*] } "
	"else { set logscale y 10; set yrange [*:*] }\n"
	"\tset ylabel (fast ? 'GB/s' : 'microseconds, median')\n"
	"\tset title 'GPU '.(name[1:1] eq 'r' ? 'to ' : 'from ')."
	"(strstrt(name, 'pinned') ? 'pinned' : 'pageable').' host memory: '."
	"(fast ? 'bandwidth' : 'latency') noenhanced\n"
	"\tlast = words(system(\"grep '^bytes:\".name.\"' copy.dat\"))\n"
	"\tdo for [kind in 'png svg'] {\n"
	"\t\tif (kind eq 'png') { set terminal pngcairo size 1000,640 } "
	"else { set terminal svg size 1000,640 dynamic background 'white' }\n"
	"\t\tset output 'copy-'.name.'.'.kind\n"
	"\t\tplot for [c = 2:last] 'copy.dat' index i - 1 "
	"using 1:c title columnheader(c) noenhanced\n"
	"\t\tset output\n"
	"\t}\n"
	"}\n";

#endif /* GPUMEM_TOOL_GNUPLOT_H */
