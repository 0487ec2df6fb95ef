ruleset {
    [
        'ClassNotSerializable', 'ClosureInGString', 'CpsCallFromNonCpsMethod', 'ExpressionInCpsMethodNotSerializable',
        'ForbiddenCallInCpsMethod', 'ObjectOverrideOnlyNonCpsMethods', 'ParameterOrReturnTypeNotSerializable',
    ].each { rule ->
        "$rule" { applyToFileNames = '*' } // else they look at files named Jenkinsfile alone
    }
}
