import com.cloudbees.groovy.cps.NonCPS

class NotSaved {
    String name
}

class Fields implements Serializable {
    String toString() {
        return 'called by code that is not transformed'
    }
}

void call(List xs) {
    String name = 'x'
    echo("${-> name}")
    xs.sort { a, b -> b <=> a }
    java.util.regex.Matcher found = name =~ /x/
    echo(found.group())
}

@NonCPS
String plain() {
    return transformed()
}

String transformed() {
    return 'x'
}

java.util.regex.Matcher handedOn(String text) {
    return text =~ /x/
}
