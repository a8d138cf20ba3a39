package e2e

import "testing"

// suite is what must hold however Preceptor is run.
func suite(t *testing.T, w *world) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *world){
		"author":       testAuthor,
		"discard":      testDiscard,
		"archiving":    testPreviewArchive,
		"paths":        testPaths,
		"catalog":      testCatalog,
		"violations":   testViolations,
		"sign in":      testSignIn,
		"profile":      testProfile,
		"learners":     testLearners,
		"attributes":   testAttributes,
		"cohorts":      testCohorts,
		"managers":     testManagers,
		"time zone":    testTimeZone,
		"recommended":  testRecommended,
		"enroll":       testEnroll,
		"learn":        testLearn,
		"events":       testEvents,
		"batch faults": testBatchFaults,
		"admin":        testAdminEvents,
		"explain":      testExplain,
		"clocks":       testClocks,
		"history":      testHistory,
		"watch":        testWatch,
		"ticket":       testWatchTicket,
		"conditional":  testConditional,
		"kept":         testKept,
		"problems":     testProblems,
		"bodies":       testBodies,
		"roles":        testRoles,
		"pages":        testPages,
		"site":         testSite,
		"wire":         testWire,
		"cors":         testCORS,
		"fresh":        testReadYourPublish,
		"versions":     testVersions,
		"audit":        testAudit,
		"mandate":      testMandate,
		"audited":      testAudited,
		"mandatory":    testMandatoryUpgrade,
		"revoke":       testRevoke,
		"earned anew":  testEarnedAnew,
		"notes":        testNotes,
		"device clock": testDeviceClock,
		"zones":        testZones,
		"excused":      testExcused,
		"credit":       testCredit,
		"nobody":       testUnknownLearner,
		"impact":       testImpact,
		"attempts":     testAttempts,
		"not learned":  testArchivedIsNotLearned,
		"fast phone":   testFastPhone,
		"periods":      testPeriods,
		"chain":        testMaterialKeepsTheChain,
		"old credit":   testOldCredit,
		"stale halves": testStaleHalves,
		"moving":       testMovingKeepsDays,
		"ties":         testTies,
		"locked doors": testLockedDoors,
		"enroll again": testEnrollingAgain,
		"old path":     testArchivedPath,
		"lines":        testLines,
		"cold start":   testColdStart,
		"normal form":  testNFC,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

func TestOneProcess(t *testing.T) {
	t.Parallel()
	suite(t, oneProcess(t, "--cors-origin", "https://learn.example.org"))
}

func TestFourProcesses(t *testing.T) {
	t.Parallel()
	suite(t, fourProcesses(t, "--cors-origin", "https://learn.example.org"))
}
