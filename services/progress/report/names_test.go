package report_test

import "github.com/preceptor-dev/preceptor/services/progress/rigtest"

// Short names of what the tests are written with.
type (
	replica = rigtest.Replica
	rig     = rigtest.Rig
)

var (
	admin       = rigtest.Admin
	all         = rigtest.All
	day         = rigtest.Day
	day0        = rigtest.Day0
	drawEvent   = rigtest.DrawEvent
	drawModule  = rigtest.DrawModule
	drawVersion = rigtest.DrawVersion
	event       = rigtest.Event
	kOf         = rigtest.KOf
	milestone   = rigtest.Milestone
	module1     = rigtest.Module
	newLearner  = rigtest.NewLearner
	newRig      = rigtest.NewRig
	newRigOn    = rigtest.NewRigOn
	onVersion   = rigtest.OnVersion
	path1       = rigtest.Path
	reasonOf    = rigtest.ReasonOf
	self        = rigtest.Self
	unit        = rigtest.Unit
	version     = rigtest.Version
	zoneNames   = rigtest.ZoneNames
)
