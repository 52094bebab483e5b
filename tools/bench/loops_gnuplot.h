/* SPDX-License-Identifier: MIT */
/* gpumem bench loops --plot: the script that gnuplot runs in the folder. */
#ifndef GPUMEM_TOOL_BENCH_LOOPS_GNUPLOT_H
#define GPUMEM_TOOL_BENCH_LOOPS_GNUPLOT_H

/*
 * loops.dat has the title in its first line, behind "# ", and then blocks with
 * two empty lines between them. A block's first line names its file and its
 * columns.
 */
static const char loops_gnuplot_script[] =
	"# Draws loops.dat: gnuplot loops.gp\n"
	"title = system(\"sed -n '1s/^# //p' loops.dat\")\n"
	"set datafile separator tab\n"
	"set datafile missing '-'\n"
	"set logscale x 2\n"
	"set logscale y 10\n"
	"set grid xtics ytics lt 1 lw 1 lc rgb '#cccccc'\n"
	"set offsets graph 0.02, graph 0.02, 0, 0\n"
	"set bmargin 5\n"
	"set label 1 title at screen 0.5, 0.025 center noenhanced "
	"font ',9'\n"
	"set key left top reverse Left samplen 2\n"
	"set xlabel 'bytes'\n"
	"set ylabel 'microseconds, median of blocks'\n"
	"set style data linespoints\n"
	"set xtics ('64' 64, '256' 256, '1 Ki' 1024, '4 Ki' 4096, "
	"'16 Ki' 16384, '64 Ki' 65536, '256 Ki' 262144, '1 Mi' 1048576, "
	"'4 Mi' 4194304, '16 Mi' 16777216, '64 Mi' 67108864, "
	"'256 Mi' 268435456)\n"
	"set linetype 1 lw 3 pt 7 ps 0.8 lc rgb '#1f77b4'\n"
	"set linetype 2 lw 2 pt 5 ps 0.7 lc rgb '#7fb0d6'\n"
	"set linetype 3 lw 2 pt 9 ps 0.8 lc rgb '#ff7f0e'\n"
	"names = system(\"sed -n 's/^bytes:\\\\([a-z0-9-]*\\\\).*/\\\\1/p' "
	"loops.dat\")\n"
	"do for [i = 1:words(names)] {\n"
	"\tname = word(names, i)\n"
	"\tset title name noenhanced\n"
	"\tdo for [kind in 'png svg'] {\n"
	"\t\tif (kind eq 'png') { set terminal pngcairo size 1000,640 } "
	"else { set terminal svg size 1000,640 dynamic background 'white' }\n"
	"\t\tset output 'loops-'.name.'.'.kind\n"
	"\t\tplot for [c = 2:4] 'loops.dat' index i - 1 "
	"using 1:c title columnheader(c) noenhanced\n"
	"\t\tset output\n"
	"\t}\n"
	"}\n";

#endif /* GPUMEM_TOOL_BENCH_LOOPS_GNUPLOT_H */
