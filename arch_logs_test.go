package arch_test

// logRules keep one unit for the durations in the log.
func logRules() []rule {
	return []rule{{
		name:  "durations in the log are internal/logs' own",
		check: bareDurations,
		bad:   one("services/a/a.go", "package a\nimport \"log/slog\"\nvar took = slog.Duration(\"took\", 1)\n"),
		good:  one("services/a/a.go", "package a\nimport \"x/internal/logs\"\nvar took = logs.Duration(1)\n"),
	}}
}

// bareDurations finds attributes that JSON has as a number of nanoseconds, and text in a unit that varies.
func bareDurations(files []file) []string {
	return eachSelector(files, "slog", []string{"Duration", "DurationValue"}, func(file) bool { return false })
}
