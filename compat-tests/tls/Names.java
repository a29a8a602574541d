import java.io.FileInputStream;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;

/** Prints the subjects of the certificates in a file as Java does: what src/tls/testdata/names.txt has. */
public class Names {
    public static void main(String[] files) throws Exception {
        try (FileInputStream in = new FileInputStream(files[0])) {
            for (Object one : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                System.out.println(((X509Certificate) one).getSubjectX500Principal().getName());
            }
        }
    }
}
