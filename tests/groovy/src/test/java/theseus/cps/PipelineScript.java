package theseus.cps;

import com.cloudbees.groovy.cps.SerializableScript;
import groovy.lang.MissingPropertyException;
import org.codehaus.groovy.runtime.InvokerHelper;

/** Base class of every compiled script: an unknown name is a global variable or a step, as in Jenkins. */
public abstract class PipelineScript extends SerializableScript {
    private static final long serialVersionUID = 1;

    @Override
    public Object invokeMethod(String name, Object args) {
        Object[] given = args instanceof Object[] ? (Object[]) args : new Object[] {args};
        Object global = Pipeline.current().globalVariable(this, name);
        if (global != null) {
            return InvokerHelper.getMetaClass(global).invokeMethod(global, "call", given);
        }
        return Pipeline.current().step(name, given);
    }

    @Override
    public Object getProperty(String name) {
        try {
            return super.getProperty(name);
        } catch (MissingPropertyException missing) {
            Object global = Pipeline.current().globalVariable(this, name);
            if (global != null) {
                return global;
            }
            throw missing;
        }
    }
}
