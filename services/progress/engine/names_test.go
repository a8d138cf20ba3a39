package engine_test

import "github.com/preceptor-dev/preceptor/services/progress/rigtest"

// Short names of what the tests are written with.
type (
	replica = rigtest.Replica
	rig     = rigtest.Rig
	source  = rigtest.Source
)

var (
	all       = rigtest.All
	day       = rigtest.Day
	day0      = rigtest.Day0
	event     = rigtest.Event
	kOf       = rigtest.KOf
	milestone = rigtest.Milestone
	module1   = rigtest.Module
	newRig    = rigtest.NewRig
	newRigOn  = rigtest.NewRigOn
	path1     = rigtest.Path
	redisOf   = rigtest.RedisOf
	self      = rigtest.Self
	unit      = rigtest.Unit
	version   = rigtest.Version
)
